// Numbers and units as text.

/** Seconds in the largest unit that fits: "3 s", "2 min", "1 h 5 min". */
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 100) return `${s} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/** Milliseconds, or seconds from about a second on, with no more digits than matter. */
export function milliseconds(ms) {
  if (ms == null || !Number.isFinite(ms)) return "–";
  return ms >= 9950 ? `${(ms / 1000).toFixed(0)} s` : ms >= 995 ? `${(ms / 1000).toFixed(1)} s` : `${ms.toFixed(0)} ms`;
}

/** A depth in metres, or a bare number if it has no unit. */
export function depth(value, unit) {
  if (value == null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  if (unit === "m") return `${value.toFixed(digits)} m`;
  return size >= 0.01 && size < 1e5 ? value.toFixed(digits) : value.toPrecision(3);
}

/** What larger numbers of a relative depth mean; empty for metres. */
export function meaning(kind) {
  if (kind === "relative_inverse") return "relative: larger is nearer";
  if (kind === "relative") return "relative: larger is farther";
  return "";
}

/** Labels for both ends of the legend, where the first colour stands for ``low`` and the last one for ``high``. */
export function rangeEnds({ kind, unit, low, high }) {
  if (kind === "metric") return [depth(low, unit), depth(high, unit)];
  const lastIsNear = (high >= low) === (kind === "relative_inverse");
  return lastIsNear ? ["far", "near"] : ["near", "far"];
}

/** An integer with narrow spaces between thousands: "12 408". */
export function count(number) {
  return Math.round(number ?? 0).toLocaleString("en").replaceAll(",", "\u202f");
}
