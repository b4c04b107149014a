"""How the report looks: plain, for screen and paper."""

STYLE = """
:root { color-scheme: light; }
body {
  font: 14px/1.45 "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif; color: #1b1f24; background: #fff;
  margin: 0 auto; max-width: 1160px; padding: 16px 20px 60px;
}
h1 { font-size: 24px; margin: 8px 0; }
h2 { font-size: 18px; margin: 32px 0 8px; border-bottom: 1px solid #d5dae0; padding-bottom: 4px; }
h1 .verdict { font-size: 18px; padding: 2px 12px; border-radius: 4px; margin-left: 10px; vertical-align: 3px; }
.verdict {
  padding: 1px 7px; border-radius: 3px; font-weight: 600; white-space: nowrap; background: #eceff3; color: #3a424c;
}
.v-pass, .v-valid { background: #d9f2df; color: #0b5c22; }
.v-fail, .v-invalid, .v-error { background: #ffdcd8; color: #97150b; }
.v-inconclusive, .v-undecidable, .v-notchecked, .v-notrun { background: #fff0c9; color: #6b4a00; }
table { border-collapse: collapse; width: 100%; margin: 6px 0; font-size: 13px; }
th, td {
  text-align: left; vertical-align: top; padding: 3px 8px; border-bottom: 1px solid #e4e8ec;
  overflow-wrap: break-word;
}
td.free { overflow-wrap: anywhere; min-width: 110px; }
table.by { width: auto; min-width: 40%; }
section { overflow-x: auto; }
p.about { margin: 0 0 8px; font-size: 15px; }
th { background: #f4f6f8; font-weight: 600; }
code, .mono { font-family: "DejaVu Sans Mono", Consolas, monospace; font-size: 12px; overflow-wrap: break-word; }
details td code { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 8px 0; }
dt { color: #57606a; }
dd { margin: 0; overflow-wrap: anywhere; }
ul.problems { background: #fff5f4; border-left: 4px solid #c8281b; padding: 8px 8px 8px 28px; }
.warning { background: #fff8e1; border-left: 4px solid #d19a00; padding: 6px 10px; }
summary { cursor: pointer; font-weight: 600; }
figure { margin: 8px 0; overflow-x: auto; }
p.quiet, .quiet { color: #57606a; }
svg { display: block; margin-bottom: 14px; }
svg text { font: 11px "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif; fill: #1b1f24; }
svg .middle { text-anchor: middle; }
svg .end { text-anchor: end; }
svg text.title { font-size: 13px; font-weight: 700; }
svg text.tick { font-size: 10px; fill: #57606a; }
svg text.label { font-weight: 600; fill: #33404d; }
svg text.in { font-size: 10px; }
svg .grid { stroke: #dfe4e9; stroke-width: 1; }
svg .frame { fill: none; stroke: #b8c0c8; }
svg .line { fill: none; stroke-width: 1.5; }
svg .line0 { stroke: #0b62c4; }
svg .line1 { stroke: #c2410c; stroke-dasharray: 5 3; }
svg .line2 { stroke: #15803d; stroke-dasharray: 2 3; }
svg text.legend0 { fill: #0b62c4; }
svg text.legend1 { fill: #c2410c; }
svg text.legend2 { fill: #15803d; }
svg .band, svg .shade { fill: #dbe5ef; stroke: #8da2b8; stroke-width: .6; }
svg .band.contactor, svg .is-charge, svg .is-c2, svg .is-d2 { fill: #bfe6c8; stroke: #5c9a6b; }
svg .is-auth, svg .is-b2 { fill: #fde9b3; stroke: #c29a2b; }
svg .is-stop { fill: #e4d7f5; stroke: #8a6bb5; }
svg .is-idle, svg .is-a1 { fill: #f3f5f7; stroke: #c3cbd3; }
svg .is-fault, svg .is-e1, svg .is-f1, svg .is-e2, svg .is-f2, svg .band.fault { fill: #ffc9c2; stroke: #c8281b; }
svg rect.shade { fill-opacity: .28; stroke: none; }
svg .leader { stroke: #8da2b8; }
svg rect.mark { fill: #6b7c8f; }
svg rect.fault { fill: #c8281b; }
svg text.fault {
  fill: #97150b; font-weight: 600; font-size: 10px; paint-order: stroke; stroke: #fff; stroke-width: 2px;
}
svg .faultline { stroke: #c8281b; stroke-dasharray: 2 4; stroke-width: .8; }
svg .life { stroke: #c3cbd3; stroke-dasharray: 3 4; }
svg rect.lane { fill: #eef3f8; stroke: #5c7ea3; }
svg text.lane { font-weight: 700; }
svg .arrow { stroke: #33404d; }
svg .tip { fill: #33404d; }
svg .note { fill: #fff8dc; stroke: #c9b458; }
svg text.message { paint-order: stroke; stroke: #fff; stroke-width: 3px; }
svg text.remark { font-size: 10px; fill: #6b4a00; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
svg rect.loop { fill: none; stroke: #5c7ea3; }
svg text.loop { font-weight: 600; fill: #2f5580; font-size: 10px; }
@media (max-width: 900px) { table { font-size: 12px; } th, td { padding: 3px 5px; } }
@page { size: A4 landscape; margin: 10mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 12px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  section, figure { overflow: visible; }
  h2 { break-after: avoid; }
  tr, svg, ul.problems li { break-inside: avoid; }
  svg { max-width: 100%; max-height: 175mm; height: auto; }
}
"""
