/** Asks CPython's own asynchat, where it is installed: oracle.py runs it. */

import { fileURLToPath } from "node:url";
import { granted } from "../permissions.ts";
import type { Conversation, PythonOutcome } from "./conversation.ts";

/** A question to the oracle. */
export type Question =
  | { conversation: Conversation }
  | { listener: string[] } // outcomes of accept(): an errno or a connection; handle_accepted throws at "throw"
  | { prefixes: [haystack: string, needle: string][] };

/** The events of a listener, and whether it still listens at the end. */
export interface ListenerOutcome {
  events: (["accepted", string] | ["error", string])[];
  listening: boolean;
}

/** The answer to a question. */
export type Answer<Q extends Question> = Q extends { conversation: unknown } ? PythonOutcome
  : Q extends { listener: unknown } ? ListenerOutcome
  : { lengths: number[] };

/** Whether `python3` may be run and has asynchat (CPython 3.11 or older). */
export async function hasOracle(): Promise<boolean> {
  if (!granted({ name: "run", command: "python3" })) return false;
  try {
    return (await python(["-W", "ignore", "-c", "import asynchat"], "")).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Asks one process of CPython. The answers are in the order of the questions. */
export async function askOracle<const Questions extends readonly Question[]>(
  questions: Questions,
): Promise<{ -readonly [N in keyof Questions]: Answer<Questions[N]> }> {
  const script = fileURLToPath(new URL("./oracle.py", import.meta.url));
  const lines = questions.map((question) => `${JSON.stringify(question)}\n`).join("");
  const { success, stdout, stderr } = await python([script], lines);
  if (!success) throw new Error(`Cannot ask the oracle: ${new TextDecoder().decode(stderr)}`);
  const answers = new TextDecoder().decode(stdout).trimEnd().split("\n");
  if (answers.length !== questions.length) {
    throw new Error(`Cannot use the answers of the oracle: got ${answers.length}, expected ${questions.length}`);
  }
  return answers.map((answer) => JSON.parse(answer)) as never;
}

/** The version of CPython, such as "3.11.7". */
export async function oracleVersion(): Promise<string> {
  const { stdout } = await python(["-c", "import platform; print(platform.python_version())"], "");
  return new TextDecoder().decode(stdout).trim();
}

async function python(args: string[], input: string): Promise<Deno.CommandOutput> {
  const child = new Deno.Command("python3", { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const output = child.output();
  try {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // it exited early: the exit code shows why
  }
  return await output;
}
