print("canaryd")
