"""Interactive demo of the chest X-ray classifier.

python demo.py [--host 127.0.0.1] [--port 7860] [--share] [--auth USER:PASSWORD]
"""

from pneumonia.web.demo.app import main

if __name__ == "__main__":
    main()
