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

/** Whether a test may have files and sockets of its own in /tmp, and talk to itself. */
export const hasTmp: boolean = Deno.build.os !== "windows" &&
  ([{ name: "read", path: "/tmp" }, { name: "write", path: "/tmp" }, { name: "net", host: "127.0.0.1" }] as const)
    .every((permission) => Deno.permissions.querySync(permission).state === "granted");

/** Whether `makeCertificate` can make one. */
export const hasCertificates: boolean = hasTmp && canRun("openssl");

/**
 * Has openssl make a certificate; disposing of it deletes its files.
 *
 * @param days How long it is good for, from now; one of a negative number has expired.
 */
export function makeCertificate(days = 2): Certificate {
  const dir = Deno.makeTempDirSync({ dir: "/tmp", prefix: "asynchat_" });
  Deno.writeTextFileSync(
    `${dir}/ext`,
    "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n",
  );
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(dir, "req", ...curve, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem");
  const signed = ["-req", "-in", "request.pem", "-signkey", "key.pem", "-days", `${days}`, "-extfile", "ext"];
  openssl(dir, "x509", ...signed, "-out", "cert.pem");
  return {
    cert: Deno.readTextFileSync(`${dir}/cert.pem`),
    key: Deno.readTextFileSync(`${dir}/key.pem`),
    dir,
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

function openssl(cwd: string, ...args: string[]): void {
  const { success, stderr } = new Deno.Command("openssl", { args, cwd, stdin: "null" }).outputSync();
  if (!success) throw new Error(`Cannot make a certificate: ${new TextDecoder().decode(stderr)}`);
}
