import type { DeviceName } from "./devices.js";
import { nodeEvents } from "./profile-events.js";
import type { Placement } from "./types.js";

/**
 * Where nodes ran, from a profile.
 * @throws FormatError for text that is no profile
 */
export function placementOfProfile(profile: string, device: DeviceName): Placement {
  const nodes = new Map(nodeEvents(profile).map((event) => [`${event.provider} ${event.node}`, event]));
  return placementOf(nodes.values(), device);
}

/** Counts of nodes by provider and operator. Copies between host and device count for themselves. */
export function placementOf(
  nodes: Iterable<{ readonly operator: string; readonly provider: string }>,
  device: DeviceName,
): Placement {
  const counts: Record<string, number> = {};
  const onCpu: Record<string, number> = {};
  let copies = 0;
  for (const { operator, provider } of nodes) {
    if (operator.startsWith("Memcpy")) {
      copies++;
      continue;
    }
    const name = provider.replace(/ExecutionProvider$/, "").toLowerCase();
    counts[name] = (counts[name] ?? 0) + 1;
    if (name === "cpu") onCpu[operator] = (onCpu[operator] ?? 0) + 1;
  }
  return { nodes: counts, fallbacks: device === "cpu" || device === "wasm" ? {} : onCpu, copies };
}

/** Counts of several models together. */
export function mergePlacements(placements: readonly Placement[]): Placement {
  const merged = { nodes: {} as Record<string, number>, fallbacks: {} as Record<string, number> };
  for (const placement of placements) {
    for (const key of ["nodes", "fallbacks"] as const) {
      for (const [name, count] of Object.entries(placement[key])) {
        merged[key][name] = (merged[key][name] ?? 0) + count;
      }
    }
  }
  return { ...merged, copies: placements.reduce((total, { copies }) => total + copies, 0) };
}
