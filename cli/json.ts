export type JsonValue =
  undefined | null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue };
export type JsonDocument = Readonly<Record<string, JsonValue>>;
