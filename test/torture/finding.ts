/** Something that must not be: the reason why a campaign ends, its evidence is kept, and the rack fails. */
export class Finding extends Error {
  override readonly name = 'Finding';
}

export function hold(condition: boolean, otherwise: () => string): asserts condition {
  if (!condition) throw new Finding(otherwise());
}
