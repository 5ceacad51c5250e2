/** What a test may use on this machine. A test that needs more sets `ignore`. Runs behind tools/stand_in.js as well. */

/** Whether all of these permissions are granted. */
export function granted(...permissions: Deno.PermissionDescriptor[]): boolean {
  return permissions.every((permission) => Deno.permissions.querySync(permission).state === "granted");
}

/** Whether a test may open sockets of Deno on 127.0.0.1. */
export const hasNet: boolean = granted({ name: "net", host: "127.0.0.1" });

/** Whether a test may use files and sockets in /tmp. */
export const hasTmp: boolean = Deno.build.os !== "windows" &&
  granted({ name: "read", path: "/tmp" }, { name: "write", path: "/tmp" });

/** Whether a test may run these programs, and all of them are installed. */
export function canRun(...commands: string[]): boolean {
  return commands.every((command) => {
    if (!granted({ name: "run", command })) return false;
    try {
      new Deno.Command(command, { args: ["--version"], stdin: "null" }).outputSync();
      return true;
    } catch {
      return false; // not installed
    }
  });
}

/** Whether `makeCertificate` of certificates.ts works here. */
export const hasCertificates: boolean = hasTmp && canRun("openssl");
