import sys

from conformance.targets.runner import main

sys.exit(main())
