"""CAP, the Common Alerting Protocol (OASIS; 1.0, 1.1, 1.2): reading alerts of others and judging them.

Values in, values out: bytes, an instant, the areas that we know and the keys that we trust go in; verdicts come out. No
clock, network, file or table. In the order of the judgement (`judgement.judge`):

reading     bytes → text → safe XML      (not_xml, bad_encoding, too_large, too_deep, dtd_forbidden)
splitting   a feed or wrapper → alerts   (no_alert)
elements    namespace, required elements (bad_namespace, required_missing, info_required)
values      enumerations, dates, numbers (bad_value, bad_date, timezone_required, duplicate_element)
parsing     an element → an `Alert`      (references_required, bad_references)
geometry    polygons and circles         (bad_polygon, bad_circle)
signature   whose word it is             (signature_invalid)
areas       where of ours it is for      (area_unknown)
memory      seen before                  (already_known, alert_conflict)

The schema's order of elements and its ban on unknown ones are not enforced, since real alerts break them without harm.
"""
