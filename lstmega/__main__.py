"""`python -m lstmega`."""

from lstmega.cli.main import main

if __name__ == "__main__":
    main()
