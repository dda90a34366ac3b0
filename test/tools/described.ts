type Json = Readonly<Record<string, unknown>>;

/**
 * What a document leaves unsaid: fields and named schemas without a description, numbers without a unit.
 * @returns where, by path
 */
export function undescribed(document: object): string[] {
  const faults: string[] = [];
  const visit = (value: unknown, path: string): void => {
    if (typeof value !== "object" || value === null || path.endsWith("/examples")) return;
    const { properties, type } = value as Json;
    const named = path === "/components/schemas" ? value : {};
    for (const [name, field] of Object.entries({ ...(properties as Json), ...named }) as [string, Json][]) {
      if (!field.$ref && !field.description) faults.push(`${path}/${name} has no description`);
    }
    // A `ref` that is a number counts nothing.
    const counts = (type === "integer" || type === "number") && !path.startsWith("/components/schemas/Ref/");
    if (counts && !("x-unit" in value)) faults.push(`${path} has no unit`);
    for (const [name, inner] of Object.entries(value)) visit(inner, `${path}/${name}`);
  };
  visit(document, "");
  return faults;
}
