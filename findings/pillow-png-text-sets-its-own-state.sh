#!/usr/bin/env bash
# Pillow 13.0.0: the keyword of a PNG's text chunk becomes a key of Image.info, beside the keys by
# which the decoder keeps what it has learnt itself. So a text called `interlace` is taken for the
# picture's interlacing and one called `bbox` for a region: a whole picture is refused as truncated, or
# with "invalid extents". The chunk is ancillary; PNG (ISO 15948, 11.3.4) leaves its keyword to the
# writer.
# Needs: Python 3.11. Seen on 2026-11-30 with Pillow 13.0.0: a text `Comment` gives the same pixels,
#   interlace: OSError, image file is truncated      bbox: ValueError, invalid extents
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pillow==13.0.0
"$work/venv/bin/python" - <<'PY'
import io, sys
import PIL
from PIL import Image, PngImagePlugin

picture = Image.linear_gradient("L")
def through_png(text):
    told = PngImagePlugin.PngInfo()
    for key, value in text.items():
        told.add_text(key, value)
    target = io.BytesIO()
    picture.save(target, "PNG", pnginfo=told)
    try:
        again = Image.open(io.BytesIO(target.getvalue())).tobytes()
        return "same pixels" if again == picture.tobytes() else "other pixels, no error"
    except Exception as error:
        return f"{type(error).__name__}: {error}"

found = {name: through_png({name: "1"}) for name in ("Comment", "interlace", "bbox")}
print(f"Pillow {PIL.__version__}: {found}")
as_seen = found["Comment"] == "same pixels"
as_seen &= found["interlace"].startswith("OSError: image file is truncated")
as_seen &= found["bbox"] == "ValueError: invalid extents"
sys.exit(0 if as_seen else 1)
PY
