"""Adds up what meson and pytest reported, prints "N passed, N failed", and exits 1 if anything failed.

A run that ended badly without a failed test (a crash of the runner, a collection error) counts as one failure.
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

TAP = re.compile(r"^(not )?ok\b(?:.*#\s*(skip))?", re.IGNORECASE | re.MULTILINE)


def count_meson(log, status):
    passed = failed = skipped = 0
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        test = json.loads(line)
        cases = list(TAP.finditer(test.get("stdout", "")))
        bad = sum(1 for case in cases if case[1])
        skip = sum(1 for case in cases if case[2] and not case[1])
        good = test["result"] in ("OK", "EXPECTEDFAIL")
        if test["result"] == "SKIP":
            skipped += 1
            continue
        passed += len(cases) - bad - skip if cases else good
        skipped += skip
        # A program that crashed or timed out has printed no failed case.
        failed += bad if bad else not good
        if bad or not good:
            print(f"failed: {test['name']}")
    return passed, failed or int(status != 0), skipped


def count_pytest(xml, status):
    results = {}
    try:
        cases = list(ElementTree.parse(xml).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        cases = []
    for case in cases:
        name = (case.get("classname"), case.get("name"))
        kinds = {child.tag for child in case}
        result = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        # An error in a test's teardown is a second entry of the same test.
        if results.get(name) != "failed":
            results[name] = result
    count = list(results.values()).count
    failed = count("failed")
    if status not in (0, 5):  # 5: no test was chosen
        failed = failed or 1
    for (_, name), result in results.items():
        if result == "failed":
            print(f"failed: {xml.stem}: {name}")
    return count("passed"), failed, count("skipped")


def main(results, counts):
    total = [0, 0, 0]
    for status in sorted(results.glob("*.status")):
        code = int(status.read_text())
        if status.stem in ("meson", "valgrind"):
            numbers = count_meson(status.with_suffix(".json"), code)
        else:
            numbers = count_pytest(status.with_suffix(".xml"), code)
        print(f"{status.stem}: {numbers[0]} passed, {numbers[1]} failed, {numbers[2]} skipped")
        total = [a + int(b) for a, b in zip(total, numbers)]
    counts.write_text("{} {} {}\n".format(*total))
    print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
    return 1 if total[1] or not total[0] else 0


sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
