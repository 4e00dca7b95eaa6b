import { DeviceError } from "../base/errors.js";
import type { Session } from "./types.js";

/** Ends a session's profile and returns the path of its file. @throws DeviceError where none is written */
export async function endProfiling(session: Session): Promise<string> {
  if (!session.endProfiling) throw new DeviceError("the runtime of this platform writes no profiles");
  return session.endProfiling();
}
