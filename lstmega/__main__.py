"""`python -m lstmega`."""

from lstmega.cli import main

if __name__ == "__main__":
    main()
