"""Draws an SVG in a process of its own: what its parts cost shows only when they are drawn, in one native call.

A script that :mod:`imgmatch.vision.marks.drawings` runs: SVG on stdin, PNG on stdout; seconds, ground, width and
height as arguments.
"""

import sys

MEMORY = 1 << 30
"""Bytes: 64 layers of a picture of 800 x 800 pixels take a sixth of it, as measured."""


def main(seconds: str, ground: str, width: str, height: str) -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import resvg_py

    text = sys.stdin.buffer.read().decode()
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=text, background=ground, width=int(width), height=int(height), skip_system_fonts=True
        )
    except Exception as error:
        sys.exit(f"{error!s:.200}")
    sys.stdout.buffer.write(bytes(png))


if __name__ == "__main__":
    main(*sys.argv[1:])
