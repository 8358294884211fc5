// Reads each DIR/*.yaml with js-yaml and compares it with the JSON beside it.
const fs = require("fs"), path = require("path"), { isDeepStrictEqual } = require("util");
const yaml = require(path.join(process.cwd(), "node_modules", "js-yaml"));

const dir = process.argv[2];
for (const name of fs.readdirSync(dir).filter((n) => n.endsWith(".yaml"))) {
  const text = fs.readFileSync(path.join(dir, name), "utf8");
  const want = JSON.parse(fs.readFileSync(path.join(dir, name.replace(/yaml$/, "json")), "utf8"));
  try {
    if (isDeepStrictEqual(yaml.load(text), want)) continue;
    console.log("another content is read from", text.slice(0, 400));
  } catch (err) {
    console.log(String(err), "\nin", text.slice(0, 400));
  }
  process.exitCode = 1;
}
