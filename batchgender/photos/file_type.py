"""What a file is, by its name's ending and by its first bytes. No other module decides it."""

import os
import re
import struct

# So many bytes of a file tell its format.
HEAD = 64

_PHOTOS = {
    "JPEG": ".jpg .jpeg .jpe .jfif .jif .pjpeg .pjp .jpg_large .jpeg_large .jpg-large .jpg_orig .mpo",
    "PNG": ".png .png_large .apng",
    "WebP": ".webp",
    "BMP": ".bmp .dib",
    "TIFF": ".tif .tiff",
    "GIF": ".gif",
    "AVIF": ".avif .avifs",
    "HEIC": ".heic .heif .heics .heifs .hif",
    "JPEG XL": ".jxl",
    "JPEG 2000": ".jp2 .j2k .j2c .jpc .jpf .jpx .jpm",
    "PNM": ".pbm .pgm .ppm .pnm .pam",
}
_KINDS = {ending: kind for kind, endings in _PHOTOS.items() for ending in endings.split()}
# Endings that photos have: such files are read, whatever is in them.
PHOTO_ENDINGS = frozenset(_KINDS)
_OTHERS = """
.txt .csv .tsv .json .jsonl .ndjson .xml .yaml .yml .toml .ini .cfg .conf .log .md .rst .tex .bib .html .htm .css .js
.parquet .arrow .feather .npy .npz .h5 .hdf5 .mat .pts .pkl .pickle .tfrecord .rds .sav .dta .geojson .kml .gpx .map
.db .sqlite .sqlite3 .db-wal .db-shm .mdb .accdb .lmdb .lock .tmp .part .crdownload .download .torrent .md5 .sha1
.zip .tar .gz .tgz .bz2 .xz .zst .lz4 .7z .rar .cab .iso .dmg .img .deb .rpm .msi .pkg .whl .jar .apk .livp
.mp4 .mov .avi .mkv .webm .m4v .mpg .mpeg .wmv .3gp .3g2 .mts .m2ts .flv .f4v .vob .ogv .mxf .asf .rm .lrv .srt .vtt
.insv .mp3 .wav .flac .ogg .oga .m4a .aac .wma .opus .aif .aiff .amr .caf .mid .midi .m3u .m3u8
.pdf .doc .docx .docm .xls .xlsx .xlsm .ppt .pptx .odt .ods .odp .odg .rtf .epub .mobi .djvu .pages .numbers .key
.svg .ai .eps .ps .psd .psb .xcf .kra .sketch .fig .indd .cdr .dxf .dwg .stl .obj .ply .blend .fbx .glb .gltf
.cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .dng .raf .orf .rw2 .rwl .rwz .pef .ptx .srw .3fr .fff .iiq .cap .erf .mef .mos
.mdc .mrw .x3f .kdc .k25 .dcr .dcs .dc2 .drf .bay .gpr .cs1 .sti .j6i .pxn .ari .braw .r3d .raw
.svs .ndpi .scn .bif .lsm .czi .lif .nd2 .dcm .nii
.xmp .aae .thm .pp3 .dop .nksc .lrcat .lrprev .lrtemplate .lnk .url .webloc .plist .eml .msg .vcf .ics .nfo
.exe .dll .so .dylib .bin .py .pyc .ipynb .sh .bat .ps1 .c .h .cpp .cs .java .kt .go .rs .ts .tsx .jsx .rb .php .pl .lua
.swift .r .m .sql .wasm .proto
.onnx .pt .pth .pt2 .safetensors .tflite .mlmodel .ckpt .ico .icns .cur .ttf .otf .woff .woff2
"""
# Endings of other files; raw formats of cameras and microscopes begin as TIFF does. Such files are not looked at.
OTHER_ENDINGS = frozenset(_OTHERS.split())
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# Endings of files that hold photos, and that are opened as a folder is where they are given.
CONTAINER_ENDINGS = (".zip", *TAR_ENDINGS, ".parquet")

_STARTS = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JPEG 2000": (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
}
# The sizes that a BMP's second header has.
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
# A width and a height follow, or a comment; in P7, the line of a named value.
_PNM = re.compile(rb"P[1-6]\s+(#|\d+(\s*#|\s+\d+[\s#]))|P7\n(#|WIDTH|HEIGHT|DEPTH|MAXVAL|TUPLTYPE)")
_BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"miaf"),
    "JPEG 2000": (b"jp2 ", b"jpx ", b"jpm "),
    "JPEG XL": (b"jxl ",),
}


def kind_by_ending(name: str) -> str:
    """The format that a photo's name promises, "other endings" where it promises none."""
    return _KINDS.get(os.path.splitext(name)[1].lower(), "other endings")


def named_as_photo(name: str) -> bool | None:
    """Whether a file of this name is a photo by its ending; None where its first bytes tell."""
    ending = os.path.splitext(name)[1].lower()
    if ending in PHOTO_ENDINGS:
        return True
    # ExifTool keeps a.nef as a.nef_original.
    return False if ending.removesuffix("_original") in OTHER_ENDINGS else None


def container_ending(name: str) -> str:
    """The ending of a file that holds photos (".tar.gz"), as it is written; "" where the name has none of these."""
    lower = name.lower()
    return next((name[-len(ending) :] for ending in CONTAINER_ENDINGS if lower.endswith(ending)), "")


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
