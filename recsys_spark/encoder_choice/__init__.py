"""`recsys-spark encoders`: measures encoders on the user's own data and recommends one."""
