"""What a computer is: operating system, libc, GPUs, driver, and one Python interpreter."""
