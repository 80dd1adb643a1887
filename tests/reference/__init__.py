"""Every technique as its paper writes it: plain float64 NumPy, loops over steps, leaves and elements.

Nothing here imports jax or gradtx. Each function takes the gradients of all steps and the first parameters, and
returns the updates of all steps; the parameters advance by adding each update.
"""
