import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";

/** A self-signed certificate for localhost and 127.0.0.1. Disposing of it deletes its files. */
export interface Certificate extends Disposable {
  /** In PEM. */
  cert: string;
  /** In PEM. */
  key: string;
  /** The folder of `cert.pem` and `key.pem`. */
  dir: string;
}

/**
 * Makes a certificate with openssl, also on Node. Needs `hasCertificates` of permissions.ts.
 *
 * @param days How long it is valid, in days from now; a negative number makes one that has expired.
 * @throws {Error} when openssl fails
 */
export function makeCertificate(days = 2): Certificate {
  const dir = mkdtempSync("/tmp/asynchat_");
  const openssl = (...args: string[]) => {
    const { success, stderr } = new Deno.Command("openssl", { args, cwd: dir, stdin: "null" }).outputSync();
    if (!success) throw new Error(`Cannot make a certificate: openssl failed: ${new TextDecoder().decode(stderr)}`);
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
