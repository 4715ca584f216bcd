// What /openapi.json says, to be read: each route, the fields of its body, the fields of its answer.

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

const api = await (await fetch("/openapi.json")).json();
const schemaOf = (schema) => (schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema);

function kindOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(kindOf).join(" | ");
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (schema.type === "array") return `[${kindOf(schema.items)}]`;
  return schema.const ?? schema.type ?? "any";
}

function fields(title, schema) {
  const found = schemaOf(schema);
  if (!found?.properties) return [];
  const rows = Object.entries(found.properties).map(([name, field]) =>
    element("tr", "", element("td", "", element("code", name + (found.required?.includes(name) ? " *" : ""))), element("td", kindOf(field)), element("td", field.description ?? "")));
  const inner = JSON.stringify(found).matchAll(/#\/components\/schemas\/(\w+)/g);
  const below = [...new Set([...inner].map((each) => each[1]))].filter((name) => api.components.schemas[name] !== found);
  return [
    element("h3", title),
    element("table", "", element("tbody", "", ...rows)),
    ...below.flatMap((name) => fields(name, { $ref: `#/components/schemas/${name}` })),
  ];
}

document.getElementById("summary").textContent = api.info.summary;
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, route] of Object.entries(methods)) {
    const answer = route.responses["200"]?.content?.["application/json"]?.schema;
    document.getElementById("routes").append(
      element("section", "",
        element("h2", "", element("code", `${method.toUpperCase()} ${path}`)),
        element("p", route.description ?? route.summary ?? ""),
        ...fields("Send (* must be there)", route.requestBody?.content["application/json"].schema),
        ...fields("Comes back", answer)));
  }
}
