"""Settings of the documentation. Pages under docs/generated are written by the two extensions when a build starts."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "extensions"))

project = "milepost"
author = "The milepost authors"
copyright = "2026, the milepost authors"
extensions = ["myst_parser", "method_pages", "reference_pages"]
root_doc = "index"
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "llms.txt"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
# Annotations name classes without their module, and two modules may each have an `Outcome`.
suppress_warnings = ["ref.python"]
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries = False
html_theme = "alabaster"
html_theme_options = {
    "description": "Reward-guided trajectory sampling",
    "fixed_sidebar": True,
    "page_width": "1200px",
    "sidebar_width": "240px",
}
html_static_path = ["static"]
html_css_files = ["custom.css"]
html_extra_path = ["llms.txt"]
html_copy_source = False
html_show_sourcelink = False
