print("canaryctl")
