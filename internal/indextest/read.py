# Reads each DIR/*.yaml with PyYAML and compares it with the JSON beside it.
import glob, json, sys, yaml

bad = 0
for name in sorted(glob.glob(sys.argv[1] + "/*.yaml")):
    text = open(name, "rb").read()
    want = json.load(open(name[:-5] + ".json", encoding="utf-8"))
    # The reader in Python takes a minute for some megabytes.
    loader = yaml.SafeLoader if len(text) < 1 << 18 else yaml.CSafeLoader
    try:
        if yaml.load(text, Loader=loader) == want:
            continue
        print("another content is read from", text[:400])
    except yaml.YAMLError as err:
        print(err, "\nin", text[:400])
    bad = 1
sys.exit(bad)
