"""The original's `python app.py`."""

from api.cli import main

if __name__ == "__main__":
    main()
