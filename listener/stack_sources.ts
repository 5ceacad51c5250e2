/**
 * Loads the sources of the modules on the stack, for the stacks of later errors. Deno 2.9 opens a file for each when it
 * is first needed, and panics when it cannot: printing an error when out of files would end the process.
 *
 * @param error An error whose class is in a module of its own.
 */
export function loadStackSources(error: Error = new Error()): void {
  void error.stack;
}
