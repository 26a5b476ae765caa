// strict.js IN OUT: the API's document as Prism can check it.
//
// Prism's validator (Ajv) refuses a schema with "nullable" and no "type", and
// Prism then lets everything pass where that schema stands. OUT says the same
// without such schemas; the program fails if one is left that Ajv refuses.

const fs = require("fs");
const Ajv = require("ajv").default;
const formats = require("ajv-formats").default;
const { getHttpOperationsFromSpec } =
    require("@stoplight/prism-cli/dist/operations");

const [input, output] = process.argv.slice(2);

// null, in the OpenAPI 3.0 that has no such type.
const NULL = { enum: [null] };

function strict(value) {
  if (Array.isArray(value)) return value.map(strict);
  if (value === null || typeof value !== "object") return value;
  const copy = {};
  for (const name of Object.keys(value)) copy[name] = strict(value[name]);
  if (copy.nullable !== true || copy.type) return copy;
  const { nullable, allOf, ...rest } = copy; // without more: any value at all
  return allOf ? { ...rest, anyOf: [{ allOf }, NULL] } : rest;
}

function schemas(operation) {
  const request = operation.request && operation.request.body;
  return [request, ...operation.responses]
      .flatMap((part) => (part && part.contents) || [])
      .map((content) => content.schema)
      .filter(Boolean);
}

function compile(operation, schema) {
  const ajv = new Ajv({ strict: false, allowUnionTypes: true, logger: false });
  formats(ajv);
  ajv.compile({ ...schema, __bundled__: operation.__bundled__ });
}

async function main() {
  const document = strict(JSON.parse(fs.readFileSync(input, "utf8")));
  fs.writeFileSync(output, JSON.stringify(document));
  let refused = 0;
  for (const operation of await getHttpOperationsFromSpec(output)) {
    for (const schema of schemas(operation)) {
      try {
        compile(operation, schema);
      } catch (error) {
        refused++;
        console.error(`${operation.method} ${operation.path}: ${error.message}`);
      }
    }
  }
  if (refused > 0) process.exitCode = 1;
}

main();
