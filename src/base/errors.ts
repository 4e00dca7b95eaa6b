/** Base of every error that fovea raises on purpose: it says what was expected, what was found, and where. */
export class FoveaError extends Error {
  override name = "FoveaError";
}

/** Shapes or dtypes that do not fit an operator, a module or a stored tensor. */
export class ShapeError extends FoveaError {
  override name = "ShapeError";
}

/** An option outside what its specification allows. */
export class OptionError extends FoveaError {
  override name = "OptionError";
}

/** Bytes that are not what their format promises. */
export class FormatError extends FoveaError {
  override name = "FormatError";
}

/** A device or runtime that is missing, unknown or failed. */
export class DeviceError extends FoveaError {
  override name = "DeviceError";
}

/** Data sets, labels, runs and files that cannot be used. */
export class DataError extends FoveaError {
  override name = "DataError";
}
