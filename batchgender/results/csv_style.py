"""How a CSV is written: exactly, or so that a spreadsheet opens it well by a double click."""

from collections.abc import Sequence
from dataclasses import dataclass

# What OWASP lists under CSV injection: a cell that begins so may be run as a formula. The last four are full-width.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_BOM = "\ufeff"


@dataclass(frozen=True)
class CsvStyle:
    """What a CSV has that the exact one has not: a byte order mark, apostrophes before what may be run as a formula."""

    bom: bool = False
    safe: bool = False

    @property
    def exact(self) -> bool:
        """Whether it does not differ."""
        return not (self.bom or self.safe)

    def header(self, names: Sequence[str]) -> list[str]:
        """The header of these columns as it is written."""
        first, *others = self.cells(names)
        return [_BOM + first if self.bom else first, *others]

    def cells(self, cells: Sequence[str]) -> Sequence[str]:
        """The cells of a row as they are written."""
        return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells] if self.safe else cells

    def plain(self, cell: str) -> str:
        """A cell as it was before `cells`."""
        return cell[1:] if self.safe and cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


EXACT = CsvStyle()
