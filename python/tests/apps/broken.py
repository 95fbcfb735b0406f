raise RuntimeError("no driver")
