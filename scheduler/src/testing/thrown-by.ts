/** What a call throws; undefined when it throws nothing. */
export function thrownBy(act: () => void): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  }
}
