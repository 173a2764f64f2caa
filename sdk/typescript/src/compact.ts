// Leaves absent things out: an option that was not given is no field of a frame.

type Compact<T> = { [K in keyof T as undefined extends T[K] ? (unknown extends T[K] ? K : never) : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? (unknown extends T[K] ? never : K) : never]?: Exclude<T[K], undefined>;
};

/** The same object without the fields that are undefined. */
export function compact<T extends object>(fields: T): Compact<T> {
  const record = fields as Record<string, unknown>;
  for (const name in record) if (record[name] === undefined) delete record[name];
  return fields as unknown as Compact<T>;
}
