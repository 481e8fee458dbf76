HEAD = 64


def picture_format(d):
    if d[:2] == b"\xff\xd8":
        return "JPEG"
    if d[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if d[:4] == b"RIFF" and d[8:12] == b"WEBP":
        return "WebP"
    if d[:4] == b"GIF8":
        return "GIF"
    if d[:2] == b"BM":
        return "BMP"
    if d[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if d[4:8] == b"ftyp":
        return "AVIF" if d[8:12] in (b"avif", b"avis") else "HEIC"
    if d[:4] == b"\xff\x4f\xff\x51" or d[4:8] == b"jP  ":
        return "JPEG 2000"
    if d[:1] == b"P" and d[1:2] in b"1234567":
        return "PNM"
    if d[:2] == b"\xff\x0a" or d[4:8] == b"JXL ":
        return "JPEG XL"
    return ""
