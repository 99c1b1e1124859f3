"""What the kernel says of processes."""


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return [int(child) for child in children.read().split()]


def notes(pid):
    """Does it have memory of the front's, to note in what it takes with accept()?"""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        return "limpet-taken" in maps.read()
