"""Makes a C header out of demo.html: its bytes before and after the mark that the answer fills in."""
import sys

source, target = sys.argv[1:]
with open(source, "rb") as file:
    parts = file.read().split(b"@ABOUT@")
if len(parts) != 2:
    sys.exit(f"{source}: @ABOUT@ must be there exactly once")
with open(target, "w", encoding="ascii") as file:
    for name, part in zip(("before", "after"), parts):
        file.write(f"static const size_t demo_page_{name}_length = {len(part)};\n")
        file.write(f"static const unsigned char demo_page_{name}[] = {{{','.join(map(str, part))}}};\n")
