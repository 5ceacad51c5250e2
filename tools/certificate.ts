import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";

/** A certificate for localhost and 127.0.0.1 that vouches for itself, as text and as files for other programs. */
export interface Certificate extends Disposable {
  cert: string;
  key: string;
  /** Where `cert.pem` and `key.pem` are. */
  dir: string;
}

/** Whether a test may run these programs, and they are there. */
export function canRun(...commands: string[]): boolean {
  return commands.every((command) => {
    if (Deno.permissions.querySync({ name: "run", command }).state !== "granted") return false;
    try {
      new Deno.Command(command, { args: ["--version"], stdin: "null" }).outputSync();
      return true;
    } catch {
      return false; // it is not installed
    }
  });
}

/** Whether a test may have files and sockets of its own in /tmp. */
export const hasTmp: boolean = Deno.build.os !== "windows" &&
  (["read", "write"] as const).every((name) => Deno.permissions.querySync({ name, path: "/tmp" }).state === "granted");

/** Whether `makeCertificate` can make one. */
export const hasCertificates: boolean = hasTmp && canRun("openssl");

/**
 * Has openssl make a certificate, also on Node; disposing of it deletes its files.
 *
 * @param days How long it is good for, from now; one of a negative number has expired.
 */
export function makeCertificate(days = 2): Certificate {
  const dir = mkdtempSync("/tmp/asynchat_");
  const openssl = (...args: string[]) => {
    const { success, stderr } = new Deno.Command("openssl", { args, cwd: dir, stdin: "null" }).outputSync();
    if (!success) throw new Error(`Cannot make a certificate: ${new TextDecoder().decode(stderr)}`);
  };
  writeFileSync(`${dir}/ext`, "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n");
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", ...curve, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem");
  const signed = ["-req", "-in", "request.pem", "-signkey", "key.pem", "-days", `${days}`, "-extfile", "ext"];
  openssl("x509", ...signed, "-out", "cert.pem");
  return {
    cert: readFileSync(`${dir}/cert.pem`, "utf8"),
    key: readFileSync(`${dir}/key.pem`, "utf8"),
    dir,
    [Symbol.dispose]: () => rmSync(dir, { recursive: true }),
  };
}
