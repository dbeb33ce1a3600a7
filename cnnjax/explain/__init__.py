"""What a trained network sees: which pixels decide, what layers make of them, what units want.

The methods are functions of arrays, and no network has code for them: layers are reached through
`cnnjax.structure.graph`. `methods.METHODS` names what `experiments.explain` offers.
"""
