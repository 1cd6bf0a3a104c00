"""How good files must be: PSNR and IoU that an encode reaches, judged from the bytes, decoded through every engine."""
