"""A database that is gone or damaged, after a revert: the candidate must not start again by itself."""
from harness import *

old, new, port = Server(), Server(lambda *request: (500, {}, b"")), free_port()
agent = Agent(
    {"s": service("s", port, old, new, "[standard]", QUICK)}, {"standard": open(f"{ROOT}/policies/standard.yaml").read()})
load = Load(port, 50)
expect("the candidate is reverted", until(lambda: "was reverted" in agent.status("s"), 60))
database = f"{agent.folder}/state/canaryd.sqlite"


def remove():
    for name in os.listdir(os.path.dirname(database)):
        if name.startswith("canaryd.sqlite"):
            os.unlink(f"{os.path.dirname(database)}/{name}")


def flip(offset):
    def change():
        for suffix in ["-wal", "-shm"]:
            if os.path.exists(database + suffix):
                os.unlink(database + suffix)
        with open(database, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 0x10]))

    return change


def overwrite(text):
    def change():
        remove()
        with open(database, "w") as file:
            file.write(text)

    return change


for name, change, how in [
    ("removed after a clean stop", remove, signal.SIGTERM), ("removed after a crash", remove, signal.SIGKILL),
    ("emptied", overwrite(""), signal.SIGTERM), ("another file", overwrite("hello" * 1000), signal.SIGTERM),
    ("a flipped bit in the header", flip(3), signal.SIGTERM), ("a flipped bit in the schema", flip(100), signal.SIGTERM),
]:
    agent.stop(how)
    change()
    agent.start()
    status = agent.status("s")
    expect(f"{name}: frozen on the baseline", "frozen" in status and "0% to new" in status, status)
    expect(f"{name}: unfreezes", agent.ctl("unfreeze", "s", "--reason", "looked")[0] == 0)
load.end()
agent.end()
finish()
