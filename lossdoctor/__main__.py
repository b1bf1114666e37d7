"""python -m lossdoctor"""

from lossdoctor.cli import main

main()
