"""Sign with PKCS#11 tokens in a worker process."""
