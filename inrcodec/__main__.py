"""python -m inrcodec"""

from inrcodec.cli import main

main()
