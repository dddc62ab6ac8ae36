"""Classic upload form and JSON API for the chest X-ray classifier.

python flask_app.py [--host 127.0.0.1] [--port 5000] [--auth USER:PASSWORD]
"""

from pneumonia.web.form.app import create_app, main

__all__ = ["create_app", "main"]  # `flask --app flask_app run` looks for the first

if __name__ == "__main__":
    main()
