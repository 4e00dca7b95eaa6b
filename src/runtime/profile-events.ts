import { FormatError } from "../base/errors.js";

/** Shapes by the name of their type, one entry per tensor: `{ float: [2, 3] }`. */
export type ProfiledShape = Readonly<Record<string, readonly number[]>>;

/** One run of a node. */
export interface NodeEvent {
  readonly node: string;
  readonly operator: string;
  readonly provider: string;
  /** Microseconds, without what the nodes of its own graphs took. */
  readonly duration: number;
  readonly inputs: readonly ProfiledShape[];
  readonly outputs: readonly ProfiledShape[];
}

/** An event of ONNX Runtime's profile (trace-event JSON), as far as it is read. */
interface TraceEvent {
  readonly cat?: unknown;
  readonly name?: unknown;
  /** Microseconds. */
  readonly ts?: unknown;
  readonly dur?: unknown;
  readonly args?: {
    readonly op_name?: unknown;
    readonly provider?: unknown;
    readonly input_type_shape?: unknown;
    readonly output_type_shape?: unknown;
  };
}

const suffix = "_kernel_time";

/**
 * The runs of nodes that a profile of ONNX Runtime lists, in their order: each is an event `NAME_kernel_time` with operator and
 * execution provider.
 * @throws FormatError for text that is no profile
 */
export function nodeEvents(profile: string): NodeEvent[] {
  let events: unknown;
  try {
    events = JSON.parse(profile);
  } catch (cause) {
    throw new FormatError("the profile of ONNX Runtime is no JSON", { cause });
  }
  if (!Array.isArray(events)) throw new FormatError("the profile of ONNX Runtime is no list of events");
  const found = (events as (TraceEvent | null)[]).flatMap((event) => {
    const { cat, name, ts, dur, args } = event ?? {};
    if (cat !== "Node" || typeof name !== "string") return [];
    if (typeof args?.op_name !== "string" || typeof args.provider !== "string") return [];
    return {
      node: name.endsWith(suffix) ? name.slice(0, -suffix.length) : name,
      operator: args.op_name,
      provider: args.provider,
      start: Number(ts),
      duration: Number(dur ?? 0),
      inputs: shapesOf(args.input_type_shape),
      outputs: shapesOf(args.output_type_shape),
    };
  });
  const inner = innerDurations(found);
  return found.map(({ start: _, ...event }, index) => ({
    ...event,
    duration: event.duration - (inner.get(index) ?? 0),
  }));
}

/** By index: what the events right inside of an event took. */
function innerDurations(
  events: readonly { readonly start: number; readonly duration: number }[],
): ReadonlyMap<number, number> {
  const inner = new Map<number, number>();
  const outer: number[] = [];
  const end = (index: number) => events[index]!.start + events[index]!.duration;
  const timed = [...events.keys()].filter((index) => Number.isFinite(events[index]!.start));
  const order = timed.sort(
    (a, b) => events[a]!.start - events[b]!.start || events[b]!.duration - events[a]!.duration,
  );
  for (const index of order) {
    while (outer.length > 0 && end(outer.at(-1)!) < end(index)) outer.pop();
    const around = outer.at(-1);
    if (around !== undefined && events[index]!.start < end(around)) {
      inner.set(around, (inner.get(around) ?? 0) + events[index]!.duration);
    }
    outer.push(index);
  }
  return inner;
}

function shapesOf(value: unknown): readonly ProfiledShape[] {
  return Array.isArray(value) ? (value as ProfiledShape[]) : [];
}
