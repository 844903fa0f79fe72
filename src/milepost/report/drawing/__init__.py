"""Charts, trees and scales as inline SVG: colours come from the style sheet, every drawing has a text alternative."""
