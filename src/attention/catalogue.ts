import { OptionError } from "../base/errors.js";
import { matchesPattern } from "../base/pattern.js";
import { didYouMean } from "../base/suggestion.js";
import { CondConv } from "./branch/cond-conv.js";
import { DynamicConv } from "./branch/dynamic-conv.js";
import { Highway } from "./branch/highway.js";
import { SplitAttention } from "./branch/resnest.js";
import { SelectiveKernel } from "./branch/sk.js";
import { BilinearAttention } from "./channel/bi-attention.js";
import { ECA } from "./channel/eca.js";
import { EncNet } from "./channel/encnet.js";
import { FCA } from "./channel/fca.js";
import { GaterNet } from "./channel/gaternet.js";
import { GCT } from "./channel/gct.js";
import { GSoP } from "./channel/gsop.js";
import { GSoPPosition } from "./channel/gsop-position.js";
import { SqueezeExcitation } from "./channel/squeeze-excitation.js";
import { SRM } from "./channel/srm.js";
import { STC } from "./channel/stc.js";
import { BAM } from "./channel-spatial/bam.js";
import { CBAM } from "./channel-spatial/cbam.js";
import { CoordinateAttention } from "./channel-spatial/coord.js";
import { CSRA } from "./channel-spatial/csra.js";
import { ScaCnn } from "./channel-spatial/sca-cnn.js";
import { SCNet } from "./channel-spatial/scnet.js";
import { ScSE } from "./channel-spatial/scse.js";
import { SimAM } from "./channel-spatial/simam.js";
import { TripletAttention } from "./channel-spatial/triplet.js";
import type { AnyAbout, Family, Mechanism, Options } from "./mechanism.js";
import { DoubleAttention } from "./spatial/a2.js";
import { AFNB } from "./spatial/afnb.js";
import { APNB } from "./spatial/apnb.js";
import { AttentionGate } from "./spatial/attention-gate.js";
import { CrissCrossAttention } from "./spatial/ccnet.js";
import { DualAttention } from "./spatial/danet.js";
import { DANetChannel } from "./spatial/danet-channel.js";
import { DANetPosition } from "./spatial/danet-position.js";
import { ExpectationMaximizationAttention } from "./spatial/ema.js";
import { GatherExcite } from "./spatial/gather-excite.js";
import { GlobalContext } from "./spatial/gc.js";
import { MixedPooling } from "./spatial/mixed-pooling.js";
import { NonLocal } from "./spatial/non-local.js";
import { PairwiseSelfAttention } from "./spatial/san-pairwise.js";
import { PatchwiseSelfAttention } from "./spatial/san-patchwise.js";
import { StandAloneSelfAttention } from "./spatial/sasa.js";
import { SimplifiedNonLocal } from "./spatial/simplified-nl.js";
import { SpatialPyramidGraphReasoning } from "./spatial/spygr.js";
import { StripPooling } from "./spatial/strip-pooling.js";
import { SpSequenceNet } from "./spatial-temporal/spsequencenet.js";
import { Detr } from "./transformer/detr.js";
import { DetrLoss } from "./transformer/detr-loss.js";
import { MultiHeadAttention } from "./transformer/mha.js";
import { PositionalEncoding } from "./transformer/positional-encoding.js";
import { QkvAttention } from "./transformer/qkv-attention.js";
import { ScaledDotProductAttention } from "./transformer/sdpa.js";
import { TransformerDecoderLayer } from "./transformer/transformer-decoder-layer.js";
import { TransformerEncoderLayer } from "./transformer/transformer-encoder-layer.js";
import { VisionTransformer } from "./transformer/vit.js";

/** Every mechanism, family by family. */
const classes = [
  SqueezeExcitation,
  ECA,
  GSoP,
  GSoPPosition,
  SRM,
  GCT,
  FCA,
  EncNet,
  BilinearAttention,
  STC,
  GaterNet,
  NonLocal,
  GlobalContext,
  SimplifiedNonLocal,
  DoubleAttention,
  ExpectationMaximizationAttention,
  APNB,
  AFNB,
  CrissCrossAttention,
  DANetPosition,
  DANetChannel,
  DualAttention,
  MixedPooling,
  StripPooling,
  GatherExcite,
  AttentionGate,
  StandAloneSelfAttention,
  PairwiseSelfAttention,
  PatchwiseSelfAttention,
  SpatialPyramidGraphReasoning,
  SelectiveKernel,
  SplitAttention,
  CondConv,
  DynamicConv,
  Highway,
  CBAM,
  BAM,
  ScSE,
  TripletAttention,
  SimAM,
  SCNet,
  CSRA,
  CoordinateAttention,
  ScaCnn,
  SpSequenceNet,
  ScaledDotProductAttention,
  QkvAttention,
  MultiHeadAttention,
  PositionalEncoding,
  TransformerEncoderLayer,
  TransformerDecoderLayer,
  VisionTransformer,
  Detr,
  DetrLoss,
] as const;

type MechanismClass = (typeof classes)[number];

/** Ids of all mechanisms. */
export type MechanismId = MechanismClass["about"]["id"];

/** The class of a mechanism. */
export type MechanismOf<Id extends MechanismId> = Extract<
  MechanismClass,
  { readonly about: { readonly id: Id } }
>;

/** A mechanism class whose options are known only at run time. */
export interface AnyMechanismClass {
  readonly about: AnyAbout;
  readonly calls: readonly string[];
  new (options: never): Mechanism;
}

const byId: ReadonlyMap<string, AnyMechanismClass> = new Map(
  mechanismClasses().map((type) => [type.about.id, type]),
);

/** The classes of all mechanisms, in the order of the catalogue. */
export function mechanismClasses(): readonly AnyMechanismClass[] {
  return classes as unknown as readonly AnyMechanismClass[];
}

/** What to look for. */
export interface CatalogueQuery {
  readonly family?: Family;
  /** Pattern for ids or names, `*` for any characters; case does not matter. */
  readonly match?: string;
  readonly year?: number;
}

/** What is known about the mechanisms that fit, in the order of the catalogue. */
export function mechanisms(query: CatalogueQuery = {}): AnyAbout[] {
  return mechanismClasses()
    .map((type) => type.about)
    .filter((about) => query.family === undefined || about.family === query.family)
    .filter((about) => query.year === undefined || about.year === query.year)
    .filter(({ id, name }) => {
      const { match } = query;
      return (
        match === undefined || [id, name].some((text) => matchesPattern(text, match, { ignoreCase: true }))
      );
    });
}

/** The class of a mechanism by its id. @throws OptionError that suggests near ids */
export function mechanismClass(id: string): AnyMechanismClass {
  const found = byId.get(id);
  if (found) return found;
  throw new OptionError(`no mechanism "${id}"; ${didYouMean(id, [...byId.keys()])}`);
}

/** Builds a mechanism by its id. @throws OptionError for an unknown id or options that its specification forbids */
export function create<Id extends MechanismId>(
  id: Id,
  options: Options<MechanismOf<Id>>,
): InstanceType<MechanismOf<Id>> {
  const type = mechanismClass(id) as unknown as new (options: unknown) => InstanceType<MechanismOf<Id>>;
  return new type(options);
}
