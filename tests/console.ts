/** Calls `fn` while `console.error` is replaced, and returns what was printed. */
export async function captureErrors(fn: () => Promise<void>): Promise<unknown[][]> {
  const original = console.error;
  const printed: unknown[][] = [];
  console.error = (...values) => printed.push(values);
  try {
    await fn();
  } finally {
    console.error = original;
  }
  return printed;
}
