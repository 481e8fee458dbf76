"""What a file is, by its name's ending and by its first bytes. No other module decides it."""

import re
import struct

# So many bytes of a file tell its format.
HEAD = 64

_PHOTOS = """
.jpg .jpeg .jpe .jfif .jif .pjpeg .pjp .jpg_large .jpeg_large .jpg-large .jpg_orig .mpo
.png .png_large .apng .webp .bmp .dib .tif .tiff .gif .avif .avifs .heic .heif .heics .heifs .hif .jxl
.jp2 .j2k .j2c .jpc .jpf .jpx .jpm .pbm .pgm .ppm .pnm .pam
"""
# Endings that photos have: such files are read, whatever is in them.
PHOTO_ENDINGS = frozenset(_PHOTOS.split())
_OTHERS = """
.txt .csv .tsv .json .jsonl .ndjson .xml .yaml .yml .toml .ini .cfg .conf .log .md .rst .html .htm .css .js .map
.parquet .arrow .feather .npy .npz .h5 .hdf5 .mat .pkl .pickle .db .sqlite .sqlite3 .db-wal .db-shm .lock .tmp .part
.zip .tar .gz .tgz .bz2 .xz .zst .7z .rar .iso .dmg .deb .rpm .whl .jar .apk
.mp4 .mov .avi .mkv .webm .m4v .mpg .mpeg .wmv .3gp .mts .m2ts .flv .mp3 .wav .flac .ogg .m4a .aac .wma .opus
.pdf .doc .docx .xls .xlsx .ppt .pptx .odt .ods .odp .rtf .epub .svg .ai .eps .ps .psd .psb .xcf .kra .sketch .fig
.cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .dng .raf .orf .rw2 .pef .srw .3fr .fff .iiq .erf .mrw .x3f .kdc .dcr .raw
.xmp .aae .thm .lnk .url .webloc .exe .dll .so .dylib .bin .py .pyc .ipynb .sh .bat .c .h .cpp .java .go .rs .ts
.onnx .pt .pth .pt2 .safetensors .tflite .mlmodel .ckpt .dcm .nii .ico .icns .cur .ttf .otf .woff .woff2
"""
# Endings of other files, raw camera formats among them, which begin as TIFF does: such files are not looked at.
OTHER_ENDINGS = frozenset(_OTHERS.split())

_STARTS = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JPEG 2000": (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
}
# The sizes that a BMP's second header has.
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_PNM = re.compile(rb"P[1-6]\s\s*(#|\d)|P7\s")
_BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"miaf"),
    "JPEG 2000": (b"jp2 ", b"jpx ", b"jpm "),
    "JPEG XL": (b"jxl ",),
}


def picture_format(head: bytes) -> str:
    """The format of a picture by the first HEAD bytes of its file, "" where they are no picture's."""
    # A third byte, where there is one, begins the first segment.
    if head[:2] == b"\xff\xd8" and head[2:3] in (b"\xff", b""):
        return "JPEG"
    for kind, starts in _STARTS.items():
        if head.startswith(starts):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADERS:
        return "BMP"
    if _PNM.match(head):
        return "PNM"
    if head[4:8] == b"ftyp":
        # The main brand, then those that the file is compatible with: a file of images in general names its own there.
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(len(head), int.from_bytes(head[:4])), 4))]
        for kind, own in _BRANDS.items():
            if any(brand in own for brand in brands):
                return kind
    return ""
