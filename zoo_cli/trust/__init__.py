"""What may be believed of bytes that came from outside."""
